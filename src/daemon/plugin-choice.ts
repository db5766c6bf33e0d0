import { failedPrecondition, messageOf } from '../errors/error.ts';
import type { ServiceBinding } from '../rpc/service.ts';
import type { PluginInfo } from '../services/introspection.ts';
import type { Config, ProxyType } from './config/config.ts';

/** containerd's types of plug-ins that may be proxies. */
export const pluginTypes: Readonly<Record<ProxyType, string>> = {
  snapshot: 'io.containerd.snapshotter.v1',
  content: 'io.containerd.content.v1',
  diff: 'io.containerd.differ.v1',
  sandbox: 'io.containerd.sandbox.controller.v1',
};

type Choice = Pick<Config, 'disabledPlugins' | 'requiredPlugins'>;

const uriOf = ({ type, id }: PluginInfo): string => `${type}.${id}`;

/** Whether the plug-in `type`.`id` may start. */
export const isEnabled = ({ disabledPlugins }: Choice, type: string, id: string): boolean =>
  !disabledPlugins.includes(`${type}.${id}`);

/** Plug-ins that are not left out. @throws failed_precondition when a required one is missing or could not start */
export function chosenPlugins(plugins: readonly PluginInfo[], choice: Choice): PluginInfo[] {
  const chosen = plugins.filter(({ type, id }) => isEnabled(choice, type, id));
  const found = new Map(chosen.map((plugin) => [uriOf(plugin), plugin]));
  for (const uri of choice.requiredPlugins) {
    const error = found.get(uri)?.initError;
    if (error !== undefined) throw failedPrecondition(`load required plugin ${uri}: ${messageOf(error)}`);
  }
  const missing = choice.requiredPlugins.filter((uri) => !found.has(uri));
  if (missing.length > 0) throw failedPrecondition(`required plugin [${missing.join(' ')}] not included`);
  return chosen;
}

/** Services that are not left out; methods of the others are unknown to the server. */
export const chosenServices = (services: readonly ServiceBinding[], choice: Choice): ServiceBinding[] =>
  services.filter(({ desc: { typeName } }) => {
    const [, id] = /^containerd\.services\.(\w+)\./.exec(typeName) ?? [];
    return id === undefined || isEnabled(choice, 'io.containerd.grpc.v1', id);
  });
