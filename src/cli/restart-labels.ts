import { defaultBackOff } from '../oci/back-off.ts';
import { restartLabels } from '../oci/label-names.ts';
import { parseRestartPolicy } from '../oci/restart-policy.ts';

/** Labels of a container that is to be kept running; none for `no` and ''. @throws invalid_argument (policy) */
export function restartLabelsOf(policy: string): Record<string, string> {
  if (parseRestartPolicy(policy === '' ? 'no' : policy).name === 'no') return {};
  return {
    [restartLabels.status]: 'running',
    [restartLabels.policy]: policy,
    [restartLabels.backOff]: defaultBackOff,
  };
}

/** Changes to the labels of a container that gets another policy: one that does not run stays so until it is started. */
export function restartChanges(policy: string, runs: boolean): Record<string, string> {
  const none = Object.fromEntries(
    [
      restartLabels.status,
      restartLabels.policy,
      restartLabels.backOff,
      restartLabels.count,
      restartLabels.explicitlyStopped,
    ].map((label) => [label, '']),
  );
  const wanted = restartLabelsOf(policy);
  if (Object.keys(wanted).length === 0) return none;
  return { ...none, ...wanted, [restartLabels.explicitlyStopped]: String(!runs) };
}
