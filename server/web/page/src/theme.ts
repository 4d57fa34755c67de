// Light or dark: as the system has it, until somebody chooses.
const KEY = 'pitwall-theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function kept(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    // A browser that keeps nothing.
    return null;
  }
}

/** Applies what was chosen; `changed` is called whenever it is another. */
export function watchTheme(changed: () => void): void {
  const chosen = kept();
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset['theme'] = chosen;
  dark.addEventListener('change', changed);
  addEventListener('pitwall-theme', changed);
}

/** The other one. */
export function nextTheme(): void {
  const root = document.documentElement;
  const isDark = (root.dataset['theme'] ?? (dark.matches ? 'dark' : 'light')) === 'dark';
  root.dataset['theme'] = isDark ? 'light' : 'dark';
  try {
    localStorage.setItem(KEY, root.dataset['theme']);
  } catch {
    // It holds until the page is left.
  }
  dispatchEvent(new Event('pitwall-theme'));
}
