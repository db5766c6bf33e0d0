import { testDocker } from './suite.ts';

testDocker('Docker Engine 28.5.2, overlay2', { generation: 28 });
