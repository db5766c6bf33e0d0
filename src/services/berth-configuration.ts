import { Configuration } from '../gen/berth/v1/configuration_pb.ts';
import { bindService, type ServiceBinding } from '../rpc/service.ts';

/** What the service is made from. */
export interface ConfigurationSource {
  /** The configuration in use, as TOML. */
  readonly text: string;
  reload(
    signal: AbortSignal,
    dryRun: boolean,
  ): Promise<{
    readonly changes: readonly {
      readonly name: string;
      readonly before: string;
      readonly after: string;
      readonly needsRestart: boolean;
    }[];
    readonly warnings: readonly string[];
  }>;
}

/** berth.v1.Configuration: shows and reloads the configuration. */
export function berthConfigurationService(source: ConfigurationSource): ServiceBinding {
  return bindService(Configuration, {
    async getConfiguration() {
      return { toml: source.text };
    },
    async reload({ dryRun }, { signal }) {
      const { changes, warnings } = await source.reload(signal, dryRun);
      const toWire = ({ name: key, before, after, needsRestart }: (typeof changes)[number]) => ({
        key,
        before,
        after,
        needsRestart,
      });
      return { changes: changes.map(toWire), warnings: [...warnings] };
    },
  });
}
