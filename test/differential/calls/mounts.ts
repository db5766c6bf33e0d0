import { Mounts } from '../../../src/gen/containerd/services/mounts/v1/mounts_pb.ts';
import { type Maker, maker } from '../call.ts';
import { namesOf, type World } from '../world.ts';

const mount = (type: string, source: string, ...options: string[]) => ({ type, source, target: '', options });
const etc = mount('bind', '/etc', 'rbind', 'ro');
const tmp = mount('tmpfs', 'tmpfs', 'size=64k', 'mode=0711');

/** Lists of mounts that can be made, and some that cannot. */
const lists: readonly (readonly ReturnType<typeof mount>[])[] = [
  [etc],
  [tmp],
  [etc, tmp],
  [tmp, mount('format/bind', '{{ mount 0 }}', 'rbind')],
  [tmp, etc, mount('format/overlay', 'overlay', 'lowerdir={{ overlay 0 1 }}')],
  [etc, mount('format/bind', '{{ source 0 }}', 'ro')],
  [
    tmp,
    mount('format/mkdir/bind', '{{ mount 0 }}/a', 'rbind', 'X-containerd.mkdir.path={{ mount 0 }}/a:0700'),
  ],
  [tmp, mount('mkdir/bind', '/etc', 'rbind', 'X-containerd.mkdir.path=<dir>/root/made:0755')],
  [tmp, mount('mkdir/bind', '/etc', 'rbind', 'X-containerd.mkdir.path=/outside/of/all')],
  [tmp, mount('mkdir/bind', '/etc', 'rbind', 'X-containerd.mkdir.nothing=1')],
  [mount('mkfs/ext4', '/outside/of/all', 'X-containerd.mkfs.size=1MiB')],
  [mount('mkfs/ext4', '<dir>/root/disk', 'X-containerd.mkfs.size=much')],
  [mount('mkfs/ext4', '<dir>/root/disk')],
  [mount('mkfs/ext4', '<dir>/root/disk', 'X-containerd.mkfs.size=1MiB', 'X-containerd.mkfs.fs=nothing')],
  [tmp, mount('format/bind', '{{ mount 1 }}')],
  [tmp, mount('format/bind', '{{ mount')],
  [tmp, mount('format/bind', '{{ nothing 0 }}')],
  [mount('nothing', 'known')],
  [mount('nothing/bind', '/etc')],
  [mount('bind', '/nowhere/at/all', 'rbind')],
  [],
];

export const mountCalls: readonly Maker[] = [
  maker(Mounts, 'activate', 6, (world: World) => ({
    name: world.name('mount'),
    mounts: [...world.random.pick(lists)],
    labels: world.labels(),
    temporary: world.chance(0.5),
  })),
  maker(Mounts, 'deactivate', 3, (world) => ({ name: world.name('mount') })),
  maker(Mounts, 'info', 2, (world) => ({ name: world.name('mount') })),
  maker(Mounts, 'update', 0.5, (world) => ({ info: { name: world.name('mount') }, ...world.mask(['name']) })),
  maker(Mounts, 'list', 2, (world) => ({ filters: world.filters(['name', 'labels'], namesOf('mount')) })),
];
