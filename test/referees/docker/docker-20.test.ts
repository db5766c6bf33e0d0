import { testDocker } from './suite.ts';

testDocker('Docker Engine 20.10.24', { generation: 20 });
