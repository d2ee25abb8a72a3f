"""A container engine in miniature, with a client that behaves as `docker exec -i` does.

The engine starts the program, not the client: killing the client with -9 leaves the program alive, and all
that reaches it then is the end of its stdin. Its words cross a socket, and its exit status too.

    python engine.py serve SOCKET              prints a line once it listens
    python engine.py exec SOCKET WORD ...      runs the words "inside"
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from typing import IO

HEAD = struct.Struct(">BI")
STDOUT, STDERR, EXIT = 1, 2, 3
COPIED = {STDOUT: 1, STDERR: 2}
CHUNK = 65536


def serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.write(1, b"listens\n")
        while True:
            client, _ = listener.accept()
            threading.Thread(target=run_inside, args=(client,), daemon=True).start()


def run_inside(socket_of_client: socket.socket) -> None:
    client = Client(socket_of_client)
    words = json.loads(socket_of_client.makefile("rb", buffering=0).readline())
    try:
        program = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
    except OSError as problem:
        client.tell(STDERR, f"exec failed: {problem}\n".encode())
        client.tell(EXIT, b"127")
        socket_of_client.close()
        return
    assert program.stdin and program.stdout and program.stderr
    sources = ((STDOUT, program.stdout), (STDERR, program.stderr))
    outputs = [threading.Thread(target=client.carry_out, args=source, daemon=True) for source in sources]
    for thread in outputs:
        thread.start()
    threading.Thread(target=carry_in, args=(socket_of_client, program), daemon=True).start()
    for thread in outputs:
        thread.join()
    client.tell(EXIT, str(program.wait() % 256).encode())
    socket_of_client.close()


class Client:
    """What nobody hears any more is thrown away: the program is not told."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._lock = threading.Lock()

    def tell(self, kind: int, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._client.sendall(HEAD.pack(kind, len(data)) + data)

    def carry_out(self, kind: int, source: IO[bytes]) -> None:
        while data := os.read(source.fileno(), CHUNK):
            self.tell(kind, data)


def carry_in(client: socket.socket, program: "subprocess.Popen[bytes]") -> None:
    """To the end of the client's words, however that came about."""
    assert program.stdin
    with contextlib.suppress(OSError):
        while data := client.recv(CHUNK):
            program.stdin.write(data)
            program.stdin.flush()
    with contextlib.suppress(OSError):
        program.stdin.close()


def execute(path: str, words: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as engine, engine.makefile("rb") as said:
        engine.connect(path)
        engine.sendall(json.dumps(words).encode() + b"\n")
        threading.Thread(target=carry_stdin, args=(engine,), daemon=True).start()
        while head := said.read(HEAD.size):
            kind, size = HEAD.unpack(head)
            data = said.read(size)
            if kind == EXIT:
                return int(data)
            os.write(COPIED[kind], data)
        sys.exit("the engine is gone")


def carry_stdin(engine: socket.socket) -> None:
    while data := os.read(0, CHUNK):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        os._exit(execute(sys.argv[2], sys.argv[3:]))
