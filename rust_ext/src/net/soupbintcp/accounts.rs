//! Names and passwords.

/// Who may log in. Names and passwords stand in capitals and padded, so that comparing takes the same time for all of them.
pub struct Accounts(Vec<([u8; 6], [u8; 10])>);

fn padded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [b' '; N];
    out.get_mut(..text.len())?.copy_from_slice(&text.to_ascii_uppercase());
    Some(out)
}

impl Accounts {
    /// Names and passwords; one that does not fit its field could never be sent, and is left out.
    pub fn new<'a>(accounts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let fits =
            |(name, password): (&str, &str)| Some((padded(name.as_bytes())?, padded(password.as_bytes())?));
        Accounts(accounts.into_iter().filter_map(fits).collect())
    }

    /// Whether name and password belong together. Every account is compared in every byte, so that the time taken says nothing.
    pub fn know(&self, username: &[u8], password: &[u8]) -> bool {
        let (Some(username), Some(password)) = (padded::<6>(username), padded::<10>(password)) else {
            return false;
        };
        let differ = |a: &[u8], b: &[u8]| a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
        let right =
            self.0.iter().map(|(name, secret)| differ(name, &username) | differ(secret, &password) == 0);
        std::hint::black_box(right.fold(false, |any, one| any | one))
    }
}
