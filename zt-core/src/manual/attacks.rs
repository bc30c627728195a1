//! Known attacks, what stops them here, and what does not.
//!
//! Each of these has happened to somebody. `cargo run --bin tour` plays most of them over real
//! sockets; the tests of each layer break one condition at a time.
//!
//! # Getting past the door
//!
//! **A route that nobody protected.** Where handlers ask for their protection, one forgets to. Here
//! the stack stands around the finished application and a policy denies what no rule permits.
//! Public routes are named with [`public`](crate::stack::Builder::public), and the audit log says
//! which they are. A handler that takes a [`Permit`](crate::decision::Permit) is not called without
//! one.
//!
//! **A layer in the wrong place.** Authorization before authentication, a limit behind the
//! cryptography that it should protect. The builder fixes the order; by hand, each check names its
//! [`Stage`](crate::context::Stage) and the gate refuses with `stack-misordered`.
//!
//! **Falling through.** A request with a bad token and a good cookie, where the second authenticator
//! is asked because the first one failed. [`any_of`](crate::authenticate::any_of) asks each what was
//! presented *to it*, runs exactly one, and refuses two credentials as `credential-ambiguous`. A
//! credential that was refused ends the request.
//!
//! **Waiting for an outage.** A revocation list, a key endpoint or an audit log that is down must not
//! be a way in. Each has a code of its own (`store-unavailable`, `keys-unavailable`,
//! `audit-unavailable`), and refuses. A view of tokens or sanctions that is shared and older than
//! [`MAX_VIEW_AGE`](crate::state::MAX_VIEW_AGE) refuses too.
//!
//! **Turning back the clock.** An expired credential must not come back to life because the time was
//! set wrong. [`SystemClock`](crate::clock::SystemClock) notices a clock that was never set, and one
//! that went back by more than five minutes against the monotonic clock: `clock-unavailable`. A
//! clock that is wrong but plausible is believed.
//!
//! # Being somebody else
//!
//! **Borrowed identity headers.** `X-Forwarded-User: root`, or `x_remote_user` for a server that
//! reads `_` as `-`. [`ValidateRequestLayer`](crate::validate::ValidateRequestLayer) takes
//! [headers that claim an identity](crate::context::ClaimedNames) off every request, whoever sent
//! them. Layers that can check what one says find it in
//! [`Trail::claimed`](crate::context::Trail::claimed).
//!
//! **Forged addresses.** Whoever writes `X-Forwarded-For` writes its left end. Addresses are counted
//! from the right, past [trusted proxies](crate::context::TrustedProxies) only, and only where the
//! peer is one. None is trusted by default.
//!
//! **A stolen store.** Only hashes of service tokens rest; with a
//! [pepper](crate::service_token::Peppers) they are of no use even to somebody who can guess.
//!
//! **Telling tokens apart by time.** An unknown token and a wrong secret cost the same work and are
//! compared in constant time; both are `credential-invalid`.
//!
//! **A stolen token.** It works until it ends or is revoked, within its methods, paths and networks.
//! That is the weakness of every bearer token: keep their ends near and their reach small. A JWT
//! that is bound to a client certificate (RFC 8705) is of no use on another connection.
//!
//! **A token that names its own key.** `jwk`, `jku`, `x5u` in a header, or a `kid` that is a path. Keys
//! come from configured issuers only, each is pinned to its algorithms (so no public key ever checks
//! an HMAC), and `none` is no algorithm.
//!
//! **Somebody else's token.** One that was made for another service of the same issuer, an id token, a
//! refresh token. The audience is an argument and not an option, and other kinds of token are told
//! by `typ` and by their claims.
//!
//! **Changing a signed request.** The body of one whose digest nobody compared, a query that was not
//! covered, a header that was not there when it was signed and counts as empty. A
//! [policy](crate::signature::verify::SignaturePolicy) says what has to be covered before any signature
//! counts; an absent field is an error; where there is a body its digest is covered and compared.
//!
//! **Sending it again.** Each nonce passes once, and what is too old is refused without being
//! remembered. A memory that was emptied by a restart, or that is full, refuses
//! (`replay-unavailable`) rather than forget. A message that was dated ahead and is repeated after a
//! restart is refused too. Several processes need one
//! [memory](crate::signature::replay::SharedReplays).
//!
//! **Verifying with the wrong key.** A public key as a shared secret, `alg` of another algorithm, a key
//! for answers on a request: algorithm and purpose belong to the key.
//!
//! **Asking for a thousand keys a second.** Each unknown `kid` could cause a fetch. One is in flight at
//! most, and none within ten seconds of the last.
//!
//! **Staying after having been thrown out.** A stream that was opened before the revocation goes on
//! for hours. The gate holds a [`Lease`](crate::gate::Lease) over each answer and cuts it when the
//! credential ends or a [sanction](crate::state::Sanctions) strikes, within a second. A connection
//! that was upgraded is the handler's: take a lease there, too.
//!
//! # Being read in two ways
//!
//! **Path confusion.** `/public/..%2fadmin` is one thing to a proxy, another to the policy, a third to
//! the router. [`check_path`](crate::validate::check_path) refuses what could be read in two ways,
//! instead of choosing one. Everything behind it reads the same raw bytes.
//!
//! **Request smuggling.** Two lengths, a length and a transfer coding, a coding that is not `chunked`,
//! `Content_Length`: refused, also where the server in front has its own opinion. Bytes that a server
//! could not frame never reach zt.
//!
//! **One signature for two messages.** Parameters written in another order, a label twice, a query
//! parameter twice, a field value with a line break in it: either there is one reading, or the request is
//! refused. The [base](crate::signature::base) is written from what came, in the order in which it came.
//!
//! **Another host.** Two `Host` headers, a `Host` that differs from the target, and, once
//! [`hosts`](crate::validate::ValidateRequestConfig::hosts) are named, DNS rebinding and links that
//! were made with a forged host. Without that list any single host is believed: name yours.
//!
//! **Method override.** `X-HTTP-Method-Override: DELETE` on a GET that a policy permits: refused.
//!
//! # Wearing it down
//!
//! **Floods.** A limit by peer stands before cryptography. Its memory is bounded from the start, and a
//! flood of made-up keys cannot make it forget a caller who is throttled. Floods from many addresses
//! are somebody else's job.
//!
//! **Bodies.** A body is bounded where it is read, not buffered, but for those of signed requests: these
//! are read whole, up to a limit and within a time, once the head has been verified. One whose declared length is too large
//! is refused before anything is read. Compressed bodies are bounded as they come: put decompression
//! outside of zt, so that the bound holds for what comes out of it.
//!
//! **Slow bodies and slow heads.** zt does not see a head that has not arrived, and does not hurry a
//! body that a handler reads. Set your server's header timeout, and a timeout on handlers.
//!
//! **Filling the audit log.** Permits have room of their own in its queue, so a flood of denials cannot
//! take it; beyond the first of a source and reason in a while denials are counted, exactly, and so are
//! those that find no room. Requests that a full disk leaves without
//! evidence are refused.
//!
//! # Afterwards
//!
//! **Forging lines.** A path or user agent with line breaks, or with characters that change the reading
//! direction of a terminal, is escaped in the record.
//!
//! **Editing the log.** Each record carries the hash of the one before. Cutting records off the end, or
//! writing all of it anew, is possible for whoever can write the file; a copy of the last hash that
//! lies elsewhere finds it.
//!
//! **Learning from refusals.** A caller is told one fixed sentence for each code. Which rule, which key,
//! which of two secrets: only the audit record says so.
//!
//! **Crashing the handler.** A panic is caught, answered with `handler-panicked` and recorded, with
//! security headers. With `panic = "abort"` there is nothing to catch.
