import { Containers } from '../../../src/gen/containerd/services/containers/v1/containers_pb.ts';
import { Images } from '../../../src/gen/containerd/services/images/v1/images_pb.ts';
import { Introspection } from '../../../src/gen/containerd/services/introspection/v1/introspection_pb.ts';
import { Leases } from '../../../src/gen/containerd/services/leases/v1/leases_pb.ts';
import { Namespaces } from '../../../src/gen/containerd/services/namespaces/v1/namespaces_pb.ts';
import { Version } from '../../../src/gen/containerd/services/version/v1/version_pb.ts';
import { Health } from '../../../src/gen/grpc/health/v1/health_pb.ts';
import { type Maker, maker } from '../call.ts';
import { extensionKeys, namesOf, type World } from '../world.ts';

const spec = (world: World) => ({
  typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
  value: Buffer.from(JSON.stringify({ ociVersion: '1.2.0', hostname: world.name('container') })),
});

const container = (world: World) => ({
  id: world.name('container'),
  labels: world.labels(),
  image: world.name('image'),
  runtime: { name: 'io.containerd.runc.v2', ...(world.chance(0.3) && { options: spec(world) }) },
  spec: spec(world),
  ...(world.chance(0.5) && { snapshotter: 'native', snapshotKey: world.name('snapshot') }),
  ...(world.chance(0.2) && { sandbox: world.name('sandbox') }),
});

const extended = (world: World) => ({
  ...container(world),
  extensions: Object.fromEntries(extensionKeys.map((key) => [key, spec(world)])),
});

const containerFilters = (world: World) => ({
  filters: world.filters(
    ['id', 'image', 'runtime.name', 'runtime', 'labels'],
    [...namesOf('container'), 'b'],
  ),
});
const containerPaths = ['spec', 'image', 'extensions', 'extensions.x', 'snapshotkey', 'id', 'runtime'];

export const containerCalls: readonly Maker[] = [
  maker(Containers, 'create', 6, (world) => ({
    container: world.chance(0.5) ? container(world) : extended(world),
  })),
  maker(Containers, 'get', 3, (world) => ({ id: world.name('container') })),
  maker(Containers, 'list', 4, containerFilters),
  maker(Containers, 'listStream', 2, containerFilters),
  maker(Containers, 'update', 5, (world) => ({ container: extended(world), ...world.mask(containerPaths) })),
  maker(Containers, 'delete', 2, (world) => ({ id: world.name('container') })),
];

const target = (world: World) => {
  const { digest, data } = world.blob();
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: BigInt(data.length),
    annotations: world.chance(0.3) ? world.labels() : {},
  };
};

const epoch = (world: World) =>
  world.chance(0.1) ? { sourceDateEpoch: { seconds: BigInt(world.random.between(0, 99)), nanos: 5 } } : {};
const image = (world: World) => ({
  name: world.name('image'),
  labels: world.labels(),
  target: target(world),
});
const imagePaths = ['target', 'annotations', 'annotations.a', 'name', 'target.size'];
const imageFields = ['name', 'target.digest', 'target.mediatype', 'annotations.a', 'target'];

export const imageCalls: readonly Maker[] = [
  maker(Images, 'create', 6, (world) => ({ image: image(world), ...epoch(world) })),
  maker(Images, 'get', 2, (world) => ({ name: world.name('image') })),
  maker(Images, 'list', 4, (world) => ({ filters: world.filters(imageFields, [...namesOf('image')]) })),
  maker(Images, 'update', 5, (world) => ({
    image: image(world),
    ...world.mask(imagePaths),
    ...epoch(world),
  })),
  maker(Images, 'delete', 2, (world) => ({
    name: world.name('image'),
    sync: world.chance(0.2),
    ...(world.chance(0.2) && { target: target(world) }),
  })),
];

const resource = (world: World) =>
  world.random.pick([
    { type: 'content', id: world.blob().digest },
    { type: 'ingests', id: world.name('ref') },
    { type: 'snapshots/native', id: world.name('snapshot') },
    { type: 'images', id: world.name('image') },
  ]);

export const leaseCalls: readonly Maker[] = [
  maker(Leases, 'create', 4, (world) => ({ id: world.name('lease'), labels: world.labels() })),
  maker(Leases, 'delete', 2, (world) => ({ id: world.name('lease'), sync: world.chance(0.3) })),
  maker(Leases, 'list', 3, (world) => ({ filters: world.filters(['id', 'labels'], namesOf('lease')) })),
  maker(Leases, 'addResource', 5, (world) => ({ id: world.name('lease'), resource: resource(world) })),
  maker(Leases, 'deleteResource', 2, (world) => ({ id: world.name('lease'), resource: resource(world) })),
  maker(Leases, 'listResources', 3, (world) => ({ id: world.name('lease') })),
];

const namespaceName = (world: World): string => world.name(world.chance(0.8) ? 'record' : 'namespace');
const namespace = (world: World) => ({ name: namespaceName(world), labels: world.labels() });

export const namespaceCalls: readonly Maker[] = [
  maker(Namespaces, 'create', 2, (world) => ({ namespace: namespace(world) })),
  maker(Namespaces, 'get', 2, (world) => ({ name: namespaceName(world) })),
  maker(Namespaces, 'list', 2, (world) => ({
    filter: world.filters(['name', 'labels'], namesOf('record'))[0] ?? '',
  })),
  maker(Namespaces, 'update', 3, (world) => ({ namespace: namespace(world), ...world.mask(['name']) })),
  maker(Namespaces, 'delete', 1, (world) => ({ name: namespaceName(world) })),
];

export const otherCalls: readonly Maker[] = [
  maker(Version, 'version', 0.2, () => ({})),
  maker(Health, 'check', 0.5, () => ({})),
  maker(Introspection, 'plugins', 1, (world) => ({
    filters: [world.random.pick(['id==nothing', 'type==io.containerd.nothing', 'id==', 'type=x', ','])],
  })),
  maker(Introspection, 'pluginInfo', 1, () => ({ type: 'io.containerd.nothing.v1', id: 'nothing' })),
];
