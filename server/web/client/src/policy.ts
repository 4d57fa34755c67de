// What a close code means for whoever was closed, and how long to wait before the next attempt.

/** What is done after a connection has ended. */
export type Reaction = 'again' | 'restart' | 'later' | 'login' | 'stop';

/** The first pause, the longest one, and the first and longest after a breach of limits. */
export const PAUSE_MS = 1_000;
export const PAUSE_MS_MAX = 30_000;
export const PENALTY_MS = 60_000;
export const PENALTY_MS_MAX = 300_000;
/** Over how long the viewers of a restarting server come back. */
export const RESTART_SPREAD_MS = 3_000;

/** What the code of a close asks for; codes nobody has heard of are lost connections. */
export function reaction(code: number): Reaction {
  switch (code) {
    case 4401:
      return 'login';
    case 1002:
    case 1003:
    case 1007:
    case 1009:
      return 'stop';
    case 1008:
      return 'later';
    case 1012:
      return 'restart';
    default:
      return 'again';
  }
}

/** The sentence for a user. */
export function sentence(code: number): string {
  switch (code) {
    case 1001:
      return 'The server has gone away';
    case 1008:
      return 'The server has had enough of this client for a while';
    case 1012:
      return 'The server restarts';
    case 1013:
      return 'The server cannot let you in at the moment';
    case 4401:
      return 'You are not logged in, or your session has ended';
    default:
      return reaction(code) === 'stop'
        ? `The server does not understand this client (${code})`
        : 'The connection is lost';
  }
}

/**
 * How long to wait before attempt `attempt` (0 is the first after a loss). Half of it is chance, so
 * that a crowd that was cut at one moment does not come back at one moment.
 */
export function pauseMs(asked: Reaction, attempt: number, random: () => number): number {
  const isLater = asked === 'later';
  if (asked === 'restart' && attempt === 0) {
    return 200 + random() * RESTART_SPREAD_MS;
  }
  const [first, most] = isLater ? [PENALTY_MS, PENALTY_MS_MAX] : [PAUSE_MS, PAUSE_MS_MAX];
  return Math.min(most, first * 2 ** Math.min(attempt, 16)) * (isLater ? 1 : 0.5 + random() / 2);
}
