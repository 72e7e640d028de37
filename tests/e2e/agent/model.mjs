// A model that speaks Anthropic's messages API: it first asks for a shell command, then repeats what that printed.
import http from 'node:http';
import { spawn } from 'node:child_process';

const send = (res, name, data) => res.write(`event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`);

const server = http.createServer((req, res) => {
  let body = '';
  req.on('data', (d) => (body += d));
  req.on('end', () => {
    let request = {};
    try { request = JSON.parse(body); } catch { /* not a message */ }
    const said = JSON.stringify(request.messages ?? []);
    const result = said.match(/MARK-[0-9]+ [a-z]+/);
    const wantsTool = (request.tools ?? []).some((t) => t.name === 'Bash') && !said.includes('tool_result');
    const block = wantsTool
      ? { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} }
      : { type: 'text', text: '' };
    const input = JSON.stringify({ command: 'echo MARK-$(jq -n 6*7) $(whoami); echo agent > from-agent', description: 'mark' });
    const delta = wantsTool ? { type: 'input_json_delta', partial_json: input } : { type: 'text_delta', text: `DONE ${result ? result[0] : 'nothing'}` };
    const usage = { input_tokens: 1, output_tokens: 1 };
    if (!request.stream) {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ id: 'm', type: 'message', role: 'assistant', model: request.model, content: [{ type: 'text', text: 'ok' }], stop_reason: 'end_turn', usage }));
      return;
    }
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    send(res, 'message_start', { message: { id: 'm', type: 'message', role: 'assistant', model: request.model, content: [], stop_reason: null, usage } });
    send(res, 'content_block_start', { index: 0, content_block: block });
    send(res, 'content_block_delta', { index: 0, delta });
    send(res, 'content_block_stop', { index: 0 });
    send(res, 'message_delta', { delta: { stop_reason: wantsTool ? 'tool_use' : 'end_turn' }, usage });
    send(res, 'message_stop', {});
    res.end();
  });
});

server.listen(0, '127.0.0.1', () => {
  const child = spawn(process.execPath, [...process.argv.slice(2)], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ANTHROPIC_API_KEY: 'none', ANTHROPIC_BASE_URL: `http://127.0.0.1:${server.address().port}`, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' },
  });
  child.on('exit', (code) => process.exit(code ?? 1));
});
