// What an event's names and course look like on the page.
const NAMES = ['Ana Kelmendi', 'Luca Moretti', 'Sara Lindqvist', 'Tomas Novak', 'Ines Carvalho', 'Jonas Weber',
  'Mira Hoxha', 'Paul Girard', 'Elena Petrova', 'Nik Jansen', 'Ida Solberg', 'Marco Rossi'];
const CENTRE = [19.8187, 41.3275];
const DEGREE_METRES = 111_320;

/** The course on which the cars of the stage drive. */
function course() {
  const points = Array.from({ length: 121 }, (_, at) => {
    const angle = (at / 60) * Math.PI;
    const radius = 1_400 * (1 + 0.22 * Math.sin(3 * angle));
    const east = (radius * Math.cos(angle) * 1.35) / DEGREE_METRES / Math.cos((CENTRE[1] * Math.PI) / 180);
    return [CENTRE[0] + east, CENTRE[1] + (radius * Math.sin(angle)) / DEGREE_METRES];
  });
  const feature = (geometry, properties = {}) => ({ type: 'Feature', properties, geometry });
  return {
    type: 'FeatureCollection',
    features: [
      feature({ type: 'LineString', coordinates: points }),
      feature({ type: 'Point', coordinates: points[0] }, { name: 'Start' }),
      feature({ type: 'Point', coordinates: points[70] }, { name: 'Water station' }),
    ],
  };
}

/** The answer of `/page.json` for an event with so many cars. */
export function about(event, count) {
  const devices = Array.from({ length: count }, (_, at) => ({
    id: `3563070424${String(at + 1).padStart(5, '0')}`,
    name: NAMES[at % NAMES.length],
    number: String(at + 1),
  }));
  return { login: null, style: null, events: [{ id: event, name: 'Night Stage, Lake Loop', course: course(), devices }] };
}
