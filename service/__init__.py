"""The microservice: a dark photo in, a bright photo out."""
