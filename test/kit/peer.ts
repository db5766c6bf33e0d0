/** BERTH_TEST_PEER=containerd runs what compares on containerd 2.3.4, to tell a fault of Berth from a limit of the machine. */
export const onContainerd = process.env.BERTH_TEST_PEER === 'containerd';
