// Clients of node's. usage: node clients.mjs HOW HOST [OTHER]; prints what the server said.
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

const [how, host, other] = process.argv.slice(2);
const failed = error => { console.error(`${how}: ${error.cause?.code ?? error.code ?? error}`); process.exit(1); };

function over2(authority, options, named) {
	const session = http2.connect(authority, options).on("error", failed);
	const stream = session.request({ ":path": "/", ...(named ? { ":authority": named } : {}) }).on("error", failed);
	stream.pipe(process.stdout);
	stream.on("end", () => session.close());
}

const ways = {
	fetch: async () => process.stdout.write(await (await fetch(`https://${host}/`)).text()),
	http: () => http.get(`http://${host}/`, res => res.pipe(process.stdout)).on("error", failed),
	https: () => https.get(`https://${host}/`, res => res.pipe(process.stdout)).on("error", failed),
	http2: () => over2(`https://${host}`),
	// What a browser does when a certificate has both names (RFC 9113, 9.1.1).
	coalesce: () => over2(`https://${host}`, {}, other),
	// The allowed name's address, the other name in TLS.
	misdirect: () => over2(`https://${host}`, { servername: other, rejectUnauthorized: false }, other),
	websocket: () => https.get(`https://${host}/`, { headers: { Connection: "Upgrade", Upgrade: "websocket",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13" } })
		.on("error", failed)
		.on("upgrade", (res, socket) => {
			socket.on("data", data => { console.log(`echo ${data} of 9.9.9.11`); socket.destroy(); });
			socket.write("frame");
		}),
};
await Promise.resolve(ways[how]()).catch(failed);
