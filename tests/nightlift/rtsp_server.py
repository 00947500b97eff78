"""Plays a video by RTSP on 127.0.0.1: `/usr/bin/python3 rtsp_server.py FILE PORT`, with Debian's GStreamer."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[2])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f'( filesrc location="{sys.argv[1]}" ! qtdemux name=file '
    "file.video_0 ! queue ! rtph264pay name=pay0 pt=96 config-interval=1 "
    "file.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"
)
server.get_mount_points().add_factory("/night", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
