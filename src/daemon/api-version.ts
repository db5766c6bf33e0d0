/** The version of containerd whose API is spoken: clients gate features on it (nerdctl: Transfer from 2.0.0 on). */
export const apiVersion = '2.3.4';
