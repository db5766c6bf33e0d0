import { checkWithEach } from './table.ts';

const hello = 'sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03';
const zeros = `sha256:${'0'.repeat(64)}`;

checkWithEach({
  'content ls shows digest, size and the labels that hold an image together': {
    line: '$C content ls',
    shows: /^DIGEST SIZE AGE LABELS\nsha256:(.*\n){2}.*$/,
  },
  'content ls shows manifest, config and layer labels as containerd writes them': {
    line: '$C content ls | grep -oE "containerd.io/[a-z.]*(config|l\\.0|overlayfs|uncompressed|source.127.0.0.1)=[a-z]*" | sort -u',
    shows: [
      'containerd.io/distribution.source.127.0.0.1=busybox',
      'containerd.io/gc.ref.content.config=sha',
      'containerd.io/gc.ref.content.l.0=sha',
      'containerd.io/gc.ref.snapshot.overlayfs=sha',
      'containerd.io/uncompressed=sha',
    ].join('\n'),
  },
  'content get gives the bytes of every digest': {
    line: 'for d in $($C content ls -q); do $C content get $d | sha256sum | grep -c "$(echo $d | cut -c8-)"; done',
    shows: '1\n1\n1',
  },
  'content get of an unknown digest says not found': {
    line: `$C content get ${zeros}`,
    shows: `ctr: content digest ${zeros}: not found`,
    status: 1,
  },
  // Nothing holds what was ingested once ctr's lease ends: a collection may take it away at any time.
  'content ingest takes bytes of the expected size and digest': {
    line: `echo hello | $C content ingest --expected-size 6 --expected-digest ${hello} r1`,
    shows: '',
  },
  'content ingest of what is here already succeeds': {
    line: `echo hello | $C content ingest --expected-size 6 --expected-digest ${hello} r1`,
    shows: '',
  },
  'content ingest of another digest is refused': {
    line: `echo hello | $C content ingest --expected-digest ${zeros} r2`,
    shows: `ctr: failed commit on ref "r2": commit failed: unexpected commit digest ${hello}, expected ${zeros}: failed precondition`,
    status: 1,
  },
  'content ingest of fewer bytes than expected ends early': {
    line: 'echo hello | $C content ingest --expected-size 7 r3',
    shows: /unexpected EOF$/,
    status: 1,
  },
  'content active shows the two that did not end': {
    line: '$C content active | cut -f1,2',
    shows: 'REF SIZE\nr2 6B\nr3 6B',
  },
  'content label sets and content ls filters by it': {
    line:
      // The manifest: something holds it.
      `d=$($C content ls -q 'labels."containerd.io/gc.ref.content.config"'); ` +
      '$C content label $d a=b >/dev/null; ' +
      '[ $($C content ls -q labels.a==b) = $d ] && $C content ls -q labels.a!=b | grep -c $d; $C content label $d a=',
    shows: /^0(\n.*)?$/,
  },
  'a filter that does not parse is refused with the place': {
    line: "$C content ls 'size>1000'",
    shows:
      'DIGEST SIZE AGE LABELS\nctr: filters: parse error: [size >|>|< 1000]: expected an operator ("=="|"!="|"~="): invalid argument',
    status: 1,
  },
  'content rm removes it, and a second time only says so': {
    line: `$C content rm ${hello}; $C content rm ${hello} >/dev/null; $C content get ${hello}`,
    shows: new RegExp(`(${hello}\n)?ctr: content digest ${hello}: not found$`),
    status: 1,
  },
  'content of another namespace is not seen': {
    line: '$C -n other content ls -q',
    shows: '',
  },
});
