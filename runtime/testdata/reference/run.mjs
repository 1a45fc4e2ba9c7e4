// Runs a function with AWS's Node.js runtime interface client: run.mjs CLIENT HANDLER.
import { pathToFileURL } from 'url';

const [, , client, handler] = process.argv;
const { run } = await import(pathToFileURL(client).href);
await run(process.cwd(), handler);
