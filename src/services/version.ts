import { Version } from '../gen/containerd/services/version/v1/version_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';

/** The Version service. `version` must be a semver of at least 2.0.0: nerdctl gates the Transfer API on it. */
export function versionService(version: string, revision: string): ServiceBinding {
  return bindService(Version, {
    async version() {
      return { version, revision };
    },
  });
}
