// HTTP/1.1, HTTP/2, git and WebSocket servers in node. usage: node services.mjs FOLDER ADDRESS...
// Writes to FOLDER/log as servers.py does, and "ready" when all listen. /git/ is `git http-backend` over FOLDER/git.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, createReadStream, readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import path from "node:path";

const [folder, ...addresses] = process.argv.slice(2);

function log(what, socket, more) {
	const entry = { t: Number(process.hrtime.bigint()) / 1e9, what, at: socket.localAddress, port: socket.localPort,
		from: socket.remoteAddress, ...more };
	// With blanks, as Python writes it.
	appendFileSync(path.join(folder, "log"), JSON.stringify(entry, null, 1).replace(/\n */g, " ") + "\n");
}

// RFC 3875; https://git-scm.com/docs/git-http-backend
function git(req, res, url) {
	const child = spawn("git", ["-c", "safe.directory=*", "http-backend"], { stdio: ["pipe", "pipe", "inherit"], env: {
		PATH: process.env.PATH, GIT_PROJECT_ROOT: path.join(folder, "git"), GIT_HTTP_EXPORT_ALL: "1",
		REQUEST_METHOD: req.method, PATH_INFO: url.pathname.slice(4), QUERY_STRING: url.search.slice(1),
		CONTENT_TYPE: req.headers["content-type"] ?? "", HTTP_CONTENT_ENCODING: req.headers["content-encoding"] ?? "",
		GIT_PROTOCOL: req.headers["git-protocol"] ?? "", REMOTE_USER: "pusher", REMOTE_ADDR: "::",
	} });
	let head = Buffer.alloc(0), done = false;
	child.stdin.on("error", () => {});
	req.pipe(child.stdin);
	child.stdout.on("data", data => {
		if (done)
			return void res.write(data);
		head = Buffer.concat([head, data]);
		const end = head.indexOf("\r\n\r\n");
		if (end < 0)
			return;
		for (const line of head.subarray(0, end).toString().split("\r\n")) {
			const [, name, value] = line.match(/^([^:]+): *(.*)$/);
			if (name.toLowerCase() === "status")
				res.statusCode = parseInt(value);
			else
				res.setHeader(name, value);
		}
		done = true;
		res.write(head.subarray(end + 4));
	});
	child.stdout.on("end", () => res.end());
}

function handle(req, res) {
	const socket = req.stream?.session?.socket ?? req.socket;
	const host = req.headers[":authority"] ?? req.headers.host ?? "";
	log("http", socket, { method: req.method, path: req.url, host: [host], tls: !!socket.encrypted, version: req.httpVersion,
		agent: req.headers["user-agent"] ?? "" });
	const url = new URL(req.url, "http://x/");
	if (url.pathname.startsWith("/git/"))
		return git(req, res, url);
	if (req.method === "POST") {
		let n = 0;
		req.on("data", data => { n += data.length; });
		return req.on("end", () => res.end(`took ${n}\n`));
	}
	if (url.pathname === "/") {
		res.setHeader("alt-svc", 'h3=":443"; ma=3600');
		return res.end(`served by ${socket.localAddress}\n`);
	}
	return createReadStream(path.join(folder, "www", path.normalize(url.pathname)))
		.on("error", () => { res.statusCode = 404; res.end(); })
		.pipe(res);
}

// RFC 6455: the handshake; then each byte comes back.
function upgrade(req, socket) {
	log("websocket", socket, { host: [req.headers.host] });
	const accept = createHash("sha1").update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
		.digest("base64");
	socket.on("error", () => {});
	socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${
		accept}\r\n\r\n`);
	socket.pipe(socket);
}

const listening = [];
for (const address of addresses) {
	const plain = http.createServer(handle).on("connection", socket => log("connect", socket));
	const tls = http2.createSecureServer({ allowHTTP1: true, key: readFileSync(path.join(folder, "server.key")),
		cert: readFileSync(path.join(folder, "server.pem")) }, handle)
		.on("connection", socket => log("connect", socket))
		.on("secureConnection", socket => log("tls", socket, { sni: socket.servername || null, alpn: socket.alpnProtocol }))
		.on("sessionError", () => {});
	for (const [server, port] of [[plain, 80], [tls, 443]]) {
		server.on("upgrade", upgrade);
		listening.push(new Promise(resolve => server.listen(port, address, resolve)));
	}
}
await Promise.all(listening);
console.log("ready");
