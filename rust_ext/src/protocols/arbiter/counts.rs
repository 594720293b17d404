//! What happened to datagrams and messages, by reason.

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// Counts by reason, the names of Python's `COUNTS`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Name and count, in order.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counts! {
    /// Datagrams received, of any kind.
    packets
    /// Messages delivered.
    messages
    /// Messages that had been delivered, given up or held already.
    duplicates
    /// Messages that had to wait.
    buffered
    /// Times the stream broke.
    gaps
    /// Requests to send.
    requests
    /// Messages that had been asked for when they came.
    recovered
    /// Messages given up.
    lost
    /// Datagrams shorter than the header.
    truncated
    /// Datagrams whose lengths or numbers are wrong.
    malformed
    /// Datagrams of another session.
    foreign_session
    /// Messages dropped, being beyond the window or its bytes.
    overflow
    /// Datagrams without messages, ends of session included.
    heartbeats
}
