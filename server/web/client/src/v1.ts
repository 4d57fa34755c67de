// The messages of v1. Made from schema/v1.schema.json by `npm run types`; edit that.

/**
 * Every message of pitwall's v1, in both directions. v1 is locked: what is not here is never sent.
 */
export type Message = ServerMessage | ClientMessage;
/**
 * What pitwall sends.
 */
export type ServerMessage = Subscribed | PositionMessage | Unsubscribed | ErrorMessage;
/**
 * event:<uuid>, the uuid in small letters.
 */
export type Topic = string;
/**
 * What the client called its request; the reply carries it exactly when the request had one.
 */
export type Id = string;
/**
 * The IMEI of the device, never a database uuid.
 */
export type DeviceId = string;
/**
 * Degrees north.
 */
export type Lat = number;
/**
 * Degrees east.
 */
export type Lon = number;
/**
 * GPS time of the device, in milliseconds since 1970.
 */
export type Ts = number;
/**
 * Kilometres an hour; left out when 0.
 */
export type Speed = number;
/**
 * Degrees clockwise from north; left out when 0.
 */
export type Course = number;
/**
 * What a client sends.
 */
export type ClientMessage = Subscribe | Unsubscribe;

/**
 * The reply to subscribe: from here on every position of the event follows.
 */
export interface Subscribed {
  type: 'subscribed';
  topic: Topic;
  id?: Id;
  snapshot: Entry[];
}
/**
 * The newest position of one device, as in a snapshot.
 */
export interface Entry {
  deviceId: DeviceId;
  lat: Lat;
  lon: Lon;
  ts: Ts;
  speed?: Speed;
  course?: Course;
}
/**
 * A device has moved. Of each device only the newest counts.
 */
export interface PositionMessage {
  type: 'position';
  topic: Topic;
  deviceId: DeviceId;
  lat: Lat;
  lon: Lon;
  ts: Ts;
  speed?: Speed;
  course?: Course;
}
/**
 * Nothing of this topic follows.
 */
export interface Unsubscribed {
  type: 'unsubscribed';
  topic: Topic;
  id?: Id;
}
/**
 * A request is refused; the connection stays.
 */
export interface ErrorMessage {
  type: 'error';
  code:
    | 'unknown-topic'
    | 'forbidden'
    | 'not-found'
    | 'error'
    | 'protocol-violation'
    | 'too-many-topics'
    | 'rate-limited';
  /**
   * As it was asked for, if that is known.
   */
  topic?: string;
  id?: Id;
  /**
   * One plain sentence.
   */
  message: string;
}
/**
 * Asks for the snapshot and the stream of an event; twice is the same as once, with a fresh snapshot.
 */
export interface Subscribe {
  type: 'subscribe';
  topic: Topic;
  id?: Id;
}
/**
 * Ends the stream of an event.
 */
export interface Unsubscribe {
  type: 'unsubscribe';
  topic: Topic;
  id?: Id;
}
