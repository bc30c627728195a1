//! A log as files that any C2SP tlog-tiles client can read: `checkpoint`, `tile/<L>/<N>`,
//! `tile/entries/<N>`.
