import type { Descriptor } from '../oci/descriptor.ts';
import { labelNames } from '../oci/label-names.ts';
import { childrenOf, type Index, type Manifest } from '../oci/manifest.ts';
import { isConfigType, isIndexType, isLayerType, isManifestType } from '../oci/media-types.ts';
import type { Reference } from '../oci/reference.ts';

const labelLimitChars = 4096;

/**
 * References from a manifest or index to each of its children, named as containerd names them: `config`, `m.N` for a
 * manifest, `l.N` for a layer, `N` for anything else (an index, an artifact), each kind counted by itself.
 */
export function childLabels(document: Manifest | Index): Record<string, string> {
  const counts = new Map<string, number>();
  const labels = childrenOf(document).map(({ mediaType, digest }) => {
    const kind = childKind(mediaType);
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    const name = kind === 'config' ? kind : `${kind}${count}`;
    return [`${labelNames.childPrefix}${name}`, digest] as const;
  });
  return Object.fromEntries(labels);
}

function childKind(mediaType: string): 'config' | 'm.' | 'l.' | '' {
  if (isConfigType(mediaType)) return 'config';
  if (isManifestType(mediaType)) return 'm.';
  return isLayerType(mediaType) ? 'l.' : '';
}

/**
 * `containerd.io/distribution.source.<host>`: the repositories of a host (without its port, as containerd writes it)
 * that a blob came from, comma-separated and sorted. Undefined when nothing changes, or when the label would be larger than labels may be.
 */
export function sourceLabel(
  { domain, path }: Reference,
  labels: Readonly<Record<string, string>> = {},
): Record<string, string> | undefined {
  const key = `${labelNames.sourcePrefix}${domain.replace(/:\d+$/, '')}`;
  const known = (labels[key] ?? '').split(',').filter((repository) => repository !== '');
  const value = [...new Set([...known, path])].sort().join(',');
  return value === labels[key] || key.length + value.length > labelLimitChars ? undefined : { [key]: value };
}

/** Name of the ingest of a descriptor, and of its progress: `layer-sha256:…`, the form clients know from containerd. */
export const refKey = ({ mediaType, digest }: Descriptor): string => `${kindName(mediaType)}-${digest}`;

function kindName(mediaType: string): string {
  if (isManifestType(mediaType)) return 'manifest';
  if (isIndexType(mediaType)) return 'index';
  if (isLayerType(mediaType)) return 'layer';
  return isConfigType(mediaType) ? 'config' : 'unknown';
}
