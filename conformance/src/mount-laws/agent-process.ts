// What uses a file system by the operations of the machine.
import { mountAgent } from './agent-program.js';

mountAgent();
