"""Clients of Python's. usage: clients.py HOW HOST; prints what the server said."""

import asyncio
import http.client
import ssl
import sys
import urllib.request


def urllib_(host):
    with urllib.request.urlopen(f"https://{host}/", timeout=10) as answer:
        return answer.read()


def requests_(host):
    import requests  # pylint: disable=import-outside-toplevel
    with requests.Session() as session:  # the second one over the connection of the first
        session.get(f"https://{host}/", timeout=10)
        return session.get(f"https://{host}/", timeout=10).content


def http_client(host):
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", "/")
    return connection.getresponse().read()


def asyncio_(host):
    async def many():
        """Twenty at a time."""
        async def one():
            reader, writer = await asyncio.open_connection(host, 443, ssl=ssl.create_default_context())
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer
        got = await asyncio.gather(*(one() for _ in range(20)))
        return min(got, key=len)
    return asyncio.run(asyncio.wait_for(many(), 20))


sys.stdout.buffer.write({"urllib": urllib_, "requests": requests_, "asyncio": asyncio_, "http_client": http_client}[
    sys.argv[1]](sys.argv[2]))
