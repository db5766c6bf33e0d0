import type { Checks } from './checks.ts';

const dockerfile = (...lines: string[]): string => `printf '${lines.join('\\n')}\\n' >Dockerfile`;

/** Images: where they come from, go to, and how they are made. */
export const images: Checks = {
  'pull fetches': {
    line: 'docker pull pulled; docker pull -q pulled; docker run --rm pulled echo runs',
    shows:
      /Status: Downloaded newer image for pulled:latest\ndocker\.io\/library\/pulled:latest\ndocker\.io\/library\/pulled:latest\nruns$/,
  },
  'pull of what is not there': {
    line: 'docker pull $REG/nothing/here',
    shows: /nothing\/here.*(not found|manifest unknown)/,
    status: 1,
  },
  'images lists it, and inspect tells its configuration': {
    line: `docker images --format '{{.Repository}}:{{.Tag}}' busybox; docker image inspect -f '{{.Os}} {{.Config.Cmd}}' busybox`,
    shows: 'busybox:latest\nlinux [/bin/sh]',
  },
  'commit makes an image of a container': {
    line: `docker run --name $N busybox sh -c 'echo changed >/f'; docker commit -c 'CMD ["cat", "/f"]' $N $N >/dev/null; docker run --rm $N; docker rmi $N >/dev/null`,
    shows: /^changed/,
  },
  'export has the files, import makes an image of them': {
    line: `docker run --name $N busybox sh -c 'echo x >/f'; docker export $N >t; tar -xOf t f; docker import -q t $N >/dev/null 2>&1 || docker import t $N >/dev/null; docker run --rm $N /bin/cat /f; docker rmi $N >/dev/null`,
    shows: /^x\nx/,
  },
  'save and load': {
    line: `docker tag busybox $N; docker save -o t $N; docker rmi $N >/dev/null; docker load -i t; docker run --rm $N echo loaded; docker rmi $N >/dev/null`,
    shows: /^Loaded image: \S+:latest\nloaded/,
  },
  'tag and rmi': {
    line: `docker tag busybox $N:1; docker images -q $N | wc -l; docker rmi $N:1; docker images -q $N | wc -l; docker image inspect $N:1`,
    shows: /^1\nUntagged: \S+:1\n0\n.*No such image/s,
    status: 1,
  },
  'rmi refuses what a container runs': {
    line: `docker tag busybox $N; docker run -d --name $N $N sleep 1000 >/dev/null; docker rmi $(docker inspect -f '{{.Image}}' $N)`,
    shows: /conflict: unable to (delete|remove)/,
    status: 1,
  },
  'push and pull back': {
    line: `docker tag busybox $REG/$N/image; docker push -q $REG/$N/image; docker rmi $REG/$N/image >/dev/null; docker run --rm $REG/$N/image echo back 2>/dev/null; docker rmi $REG/$N/image >/dev/null`,
    shows: /\/image(:latest)?\nback$/,
  },
  'history lists the layers': {
    line: "docker history --format '{{.Size}} {{.CreatedBy}}' busybox",
    shows: /\d+(\.\d+)?MB .*umoci/,
  },
  'build by the classic builder': {
    line: `${dockerfile('FROM busybox', 'RUN echo one >/one', 'COPY f /two', 'CMD cat /one /two')}; echo two >f; DOCKER_BUILDKIT=0 docker build -q -t $N . >/dev/null 2>&1; docker run --rm $N; docker rmi $N >/dev/null`,
    shows: /^one\ntwo/,
  },
  'build by BuildKit, of several stages': {
    line: `${dockerfile('FROM busybox AS first', 'ARG A', 'RUN echo $A >/one', 'FROM busybox', 'COPY --from=first /one /', 'CMD ["cat", "/one"]')}; DOCKER_BUILDKIT=1 docker build -q --build-arg A=given -t $N . >/dev/null; docker run --rm $N; docker rmi $N >/dev/null`,
    shows: /^given/,
  },
  'build again is done by the cache': {
    line: `${dockerfile('FROM busybox', 'RUN head -c 9 /dev/urandom | base64 >/random')}; b() { docker run --rm $(DOCKER_BUILDKIT=1 docker build -q .) cat /random; }; a=$(b); [ -n "$a" ] && [ $a = $(b) ] && echo same`,
    shows: 'same',
  },
  'a build that fails says where': {
    line: `${dockerfile('FROM busybox', 'RUN echo before; exit 3')}; DOCKER_BUILDKIT=1 docker build --progress plain .`,
    shows: /before\n(.*\n)*.*exit code: 3/,
    status: 1,
  },
};
