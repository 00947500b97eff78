"""A client of HTTP/2 that says what it likes: it declares messages that it does not send, and reads no answers.

As much of RFC 9113 as an attack on gRPC needs; real clients are too polite.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
CHUNK = 16_384


class Connection:
    """One connection. Frames that come are looked at while something is sent, or by `read`."""

    def __init__(self, port: int, window: int = 65_535, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._received = b""
        self._next_stream = 1
        self.window = 65_535
        self.windows: dict[int, int] = {}
        self.initial_window = 65_535
        self.is_closed = False
        self.ended: dict[int, int | None] = {}
        """Streams that have ended, with the code of RST_STREAM, if there was one."""
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window)))

    def call(self, method: str) -> int:
        """Begin a call; its stream."""
        stream = self._next_stream
        self._next_stream += 2
        fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x"}
        fields |= {"content-type": "application/grpc", "te": "trailers"}
        self.windows[stream] = self.initial_window
        self._socket.sendall(frame(HEADERS, END_HEADERS, stream, b"".join(map(literal, fields, fields.values()))))
        return stream

    def begin_message(self, stream: int, size: int) -> None:
        """Declare a message of so many bytes."""
        self.send(stream, struct.pack(">BI", 0, size), seconds=1)

    def send(self, stream: int, data: bytes, seconds: float, end: bool = False) -> int:
        """Send data as far as the windows allow it within the time; the bytes that were sent."""
        deadline, sent = time.monotonic() + seconds, 0
        while sent < len(data) and not self.is_closed and stream not in self.ended:
            room = min(self.window, self.windows[stream], CHUNK, len(data) - sent)
            if room <= 0:
                if time.monotonic() > deadline:
                    break
                self.read(0.05)
                continue
            part = data[sent : sent + room]
            sent += room
            self.window -= room
            self.windows[stream] -= room
            try:
                self._socket.sendall(frame(DATA, END_STREAM * (end and sent == len(data)), stream, part))
            except OSError:
                self.is_closed = True
            self.read(0)
        return sent

    def read(self, seconds: float) -> None:
        """Look at the frames that come within the time."""
        self._socket.settimeout(seconds or 1e-6)
        try:
            data = self._socket.recv(1 << 20)
            self.is_closed |= not data
            self._received += data
        except (TimeoutError, BlockingIOError):
            pass
        except OSError:
            self.is_closed = True
        finally:
            with suppress(OSError):
                self._socket.settimeout(None)
        while len(self._received) >= 9:
            size, kind, flags, stream = frame_head(self._received)
            if len(self._received) < 9 + size:
                break
            payload, self._received = self._received[9 : 9 + size], self._received[9 + size :]
            self._see(kind, flags, stream, payload)

    def _see(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream:
                self.windows[stream] = self.windows.get(stream, 0) + more
            else:
                self.window += more
        elif kind == SETTINGS and not flags & ACK:
            for place in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, place)
                if name == INITIAL_WINDOW_SIZE:
                    for known in self.windows:
                        self.windows[known] += value - self.initial_window
                    self.initial_window = value
            self._send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._send(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM:
            self.ended[stream] = struct.unpack(">I", payload)[0]
        elif kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.setdefault(stream, None)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.is_closed = True

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame on the wire."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def frame_head(data: bytes) -> tuple[int, int, int, int]:
    """Size of the payload, kind, flags and stream of the frame that begins here."""
    return int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF


def literal(name: str, value: str) -> bytes:
    """A field of a head, neither indexed nor compressed (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
