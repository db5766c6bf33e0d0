import { testDocker } from './suite.ts';

testDocker('Docker Engine 28.5.2, containerd image store', { generation: 28, containerdStore: true });
