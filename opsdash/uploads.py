"""Nothing of opsdash takes a file."""

from typing import Any, NoReturn

from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import FileUploadHandler


class NoFiles(FileUploadHandler):
    """Without any handler Django would read files in pieces of 2 GB."""

    def new_file(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise BadRequest("A file was sent, and opsdash takes none. Nothing was done.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> NoReturn:
        raise BadRequest

    def file_complete(self, file_size: int) -> None:
        return None
