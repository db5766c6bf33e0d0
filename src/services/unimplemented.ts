import { Controller, Store } from '../gen/containerd/services/sandbox/v1/sandbox_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';

/**
 * Services of containerd that Berth knows and does not serve yet: each method answers UNIMPLEMENTED and names itself,
 * which clients take as "do without".
 */
export function laterServices(): ServiceBinding[] {
  return [bindService(Store, {}), bindService(Controller, {})];
}
