import { layerModes } from '../../src/snapshots/layer-mode.ts';

/** How the daemons of this test run keep layers: BERTH_TEST_LAYERS, one of the words of the setting. Default `auto`. */
export const layerMode = layerModes.find((mode) => mode === process.env.BERTH_TEST_LAYERS) ?? 'auto';

/** The same as lines of a configuration file, to be put last. */
export const layerModeConfig = `
[plugins.'io.containerd.snapshotter.v1.overlayfs']
  layers = '${layerMode}'
`;
