//! Which processor this build is for: what a measured number must say beside the machine it was measured on.
//!
//! A build for one processor may use its wider instructions, but it gives the same bits: rustc neither reorders floating-point
//! arithmetic nor contracts a product and a sum into one rounding, whatever `target-cpu` allows.

/// (feature, whether the compiler was allowed to use it). None is in the baseline of its architecture.
const FEATURES: &[(&str, bool)] = &[
    ("sse4.2", cfg!(target_feature = "sse4.2")),
    ("popcnt", cfg!(target_feature = "popcnt")),
    ("avx", cfg!(target_feature = "avx")),
    ("avx2", cfg!(target_feature = "avx2")),
    ("fma", cfg!(target_feature = "fma")),
    ("bmi1", cfg!(target_feature = "bmi1")),
    ("bmi2", cfg!(target_feature = "bmi2")),
    ("lzcnt", cfg!(target_feature = "lzcnt")),
    ("avx512f", cfg!(target_feature = "avx512f")),
    ("lse", cfg!(all(target_feature = "lse", not(target_vendor = "apple")))),
    ("bf16", cfg!(target_feature = "bf16")),
    ("sve", cfg!(target_feature = "sve")),
];

/// "portable x86_64", or "native x86_64 (avx2, bmi2, ...)" where the compiler could use more than every such processor has.
pub fn build() -> String {
    let used: Vec<&str> = FEATURES.iter().filter(|row| row.1).map(|row| row.0).collect();
    let architecture = std::env::consts::ARCH;
    if used.is_empty() {
        return format!("portable {architecture}");
    }
    format!("native {architecture} ({})", used.join(", "))
}

/// The compiler, as "1.88.0 (hash date)", and the profile, as "release, opt-level 3".
pub const COMPILER: (&str, &str) = (env!("HFTLAB_RUSTC"), env!("HFTLAB_PROFILE"));

/// What the hypervisor calls itself, e.g. "KVMKVMKVM"; empty where there is none, or no way to ask.
#[cfg(target_arch = "x86_64")]
pub fn hypervisor() -> String {
    use std::arch::x86_64::__cpuid;
    if __cpuid(1).ecx & (1 << 31) == 0 {
        return String::new();
    }
    let leaf = __cpuid(0x4000_0000);
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    String::from_utf8_lossy(&name).trim_matches(|letter: char| letter == '\0' || letter == ' ').into()
}

/// What the hypervisor calls itself: this architecture does not say.
#[cfg(not(target_arch = "x86_64"))]
pub fn hypervisor() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_names_what_it_may_use() {
        let build = build();
        assert!(build.contains(std::env::consts::ARCH), "{build}");
        assert_eq!(cfg!(target_feature = "avx2"), build.contains("avx2"), "{build}");
        assert_eq!(build.starts_with("native"), build.contains('('), "{build}");
    }

    #[test]
    fn a_build_names_its_compiler_and_profile() {
        let (rustc, profile) = COMPILER;
        assert!(rustc == "unknown" || rustc.starts_with(|first: char| first.is_ascii_digit()), "{rustc}");
        assert_eq!(profile.starts_with("debug"), cfg!(debug_assertions), "{profile}");
    }

    #[test]
    fn a_product_and_a_sum_are_rounded_twice() {
        // (1 + e)(1 - e) is 1 - e^2, which rounds to 1; a fused multiply-add would leave -e^2.
        let e = 2f64.powi(-40);
        let (a, b) = (std::hint::black_box(1.0 + e), std::hint::black_box(1.0 - e));
        assert_eq!(a * b - 1.0, 0.0);
        assert_eq!(a.mul_add(b, -1.0), -e * e);
    }
}
