//! Whole applications that use zt. Each binary under `src/bin` runs with one command; the tests of
//! this package attack them.

pub mod ai_gateway;
pub mod audit;
pub mod charges;
pub mod counters;
pub mod interop;
pub mod raw;
pub mod services;
pub mod shop;
pub mod swarm;
pub mod tls;
pub mod tour;

/// What the examples' fallible functions give.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// What the README shows has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use zt_core::decision::Code;

    #[test]
    fn the_readme_has_every_code_beside_its_status() {
        let readme = include_str!("../../README.md");
        for code in Code::ALL {
            let row = format!("| {} |", code.status().as_u16());
            let named = format!("`{code}`");
            let rows = readme.lines().filter(|line| line.starts_with(&row));
            let grpc = format!("| {} |", code.grpc());
            assert!(
                rows.filter(|line| line.contains(&named) && line.ends_with(&grpc))
                    .count()
                    == 1,
                "{code}"
            );
        }
    }
}
