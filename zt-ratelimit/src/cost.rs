//! Money: integers of one currency, and prices that are rounded once.
//!
//! A [`Cost`] is a whole number of nano-units (10⁻⁹ of a dollar, of a euro …), because a token of a
//! language model can cost 50 of them and micro-units would lose it. A [`Price`] is for one unit of
//! something (a token, a byte, a request) and has three digits more, pico-units; a [`Bill`] adds
//! units times prices without losing anything and rounds **up**, once, at the end.
//!
//! Nothing converts between currencies, and nothing adds two of them: where that could happen it is
//! an error of configuration.
//!
//! ```
//! use zt_ratelimit::cost::{Bill, Cost, Price};
//!
//! let input = Price::per_million("0.05 USD".parse().unwrap());
//! let output = Price::per_million("0.40 USD".parse().unwrap());
//! let mut bill = Bill::new(input.currency());
//! bill.add(input, 1200).unwrap();
//! bill.add(output, 300).unwrap();
//! let cost = bill.total().unwrap();
//! assert_eq!(cost, "0.00018 USD".parse().unwrap());
//! assert_eq!(cost.nanos(), 180_000);
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency, by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");
    /// Euro.
    pub const EUR: Self = Self(*b"EUR");
    /// For tests, says ISO 4217.
    pub const XTS: Self = Self(*b"XTS");

    /// The code: three capital letters.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(&self.0) {
            Ok(code) => code,
            // There is no way to make one of anything but capital letters.
            Err(_) => "XXX",
        }
    }
}

impl FromStr for Currency {
    type Err = CostError;

    fn from_str(text: &str) -> Result<Self, CostError> {
        let code: Option<[u8; 3]> = text.as_bytes().try_into().ok();
        code.filter(|code| {
            code.is_ascii()
                && CODES
                    .as_bytes()
                    .chunks(4)
                    .any(|known| known.starts_with(code))
        })
        .map(Self)
        .ok_or_else(|| CostError::Currency(text.chars().take(16).collect()))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An amount of money: whole nano-units of one currency.
///
/// Written and read as a decimal number and a code: `12.50 USD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cost {
    nanos: u64,
    currency: Currency,
}

impl Cost {
    /// `nanos` nano-units.
    #[must_use]
    pub const fn from_nanos(nanos: u64, currency: Currency) -> Self {
        Self { nanos, currency }
    }

    /// `micros` micro-units.
    ///
    /// # Errors
    ///
    /// [`CostError::TooLarge`] above 1.8 · 10¹⁶ micro-units (18 billion units).
    pub const fn from_micros(micros: u64, currency: Currency) -> Result<Self, CostError> {
        match micros.checked_mul(1000) {
            Some(nanos) => Ok(Self { nanos, currency }),
            None => Err(CostError::TooLarge),
        }
    }

    /// Nothing.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { nanos: 0, currency }
    }

    /// In nano-units.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// In whole micro-units, rounded down.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.nanos / 1000
    }

    /// Of which currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Both together.
    ///
    /// # Errors
    ///
    /// [`CostError::Mismatch`] for two currencies, [`CostError::TooLarge`] where the sum does not
    /// fit.
    pub fn checked_add(self, other: Self) -> Result<Self, CostError> {
        self.currency_of(other)?;
        match self.nanos.checked_add(other.nanos) {
            Some(nanos) => Ok(Self { nanos, ..self }),
            None => Err(CostError::TooLarge),
        }
    }

    fn currency_of(self, other: Self) -> Result<(), CostError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(CostError::Mismatch(self.currency, other.currency))
        }
    }
}

impl FromStr for Cost {
    type Err = CostError;

    fn from_str(text: &str) -> Result<Self, CostError> {
        let bad = || CostError::Amount(text.chars().take(48).collect());
        let (amount, code) = text.split_once(' ').ok_or_else(bad)?;
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| CostError::TooLarge)?;
        let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
        let nanos = whole
            .checked_mul(1_000_000_000)
            .and_then(|nanos| nanos.checked_add(fraction))
            .ok_or(CostError::TooLarge)?;
        Ok(Self::from_nanos(nanos, code.parse()?))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.nanos % 1_000_000_000);
        let fraction = fraction.trim_end_matches('0');
        let whole = self.nanos / 1_000_000_000;
        match fraction {
            "" => write!(f, "{whole} {}", self.currency),
            _ => write!(f, "{whole}.{fraction} {}", self.currency),
        }
    }
}

impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cost({self})")
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What one unit of something costs: whole pico-units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Price {
    picos: u64,
    currency: Currency,
}

impl Price {
    /// `picos` pico-units (10⁻¹²) for a unit.
    #[must_use]
    pub const fn from_picos(picos: u64, currency: Currency) -> Self {
        Self { picos, currency }
    }

    /// So much for a million units, as price lists of language models say; rounded up to a whole
    /// pico-unit for one.
    #[must_use]
    pub const fn per_million(cost: Cost) -> Self {
        // n nano-units a million are n/1000 pico-units each.
        Self {
            picos: cost.nanos.div_ceil(1000),
            currency: cost.currency,
        }
    }

    /// In pico-units.
    #[must_use]
    pub const fn picos(self) -> u64 {
        self.picos
    }

    /// Of which currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// What `units` of it cost, rounded up to a nano-unit.
    ///
    /// # Errors
    ///
    /// [`CostError::TooLarge`] where that does not fit.
    pub fn times(self, units: u64) -> Result<Cost, CostError> {
        let mut bill = Bill::new(self.currency);
        bill.add(self, units)?;
        bill.total()
    }
}

/// Units times prices, added up exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    picos: u128,
    currency: Currency,
}

impl Bill {
    /// An empty one.
    #[must_use]
    pub const fn new(currency: Currency) -> Self {
        Self { picos: 0, currency }
    }

    /// Adds `units` at `price`.
    ///
    /// # Errors
    ///
    /// [`CostError::Mismatch`] for a price of another currency, [`CostError::TooLarge`] where the
    /// sum does not fit.
    pub fn add(&mut self, price: Price, units: u64) -> Result<(), CostError> {
        if price.currency != self.currency {
            return Err(CostError::Mismatch(self.currency, price.currency));
        }
        // Two factors of 64 bits fit into 128; sums are checked.
        let picos = u128::from(price.picos) * u128::from(units);
        self.picos = self.picos.checked_add(picos).ok_or(CostError::TooLarge)?;
        Ok(())
    }

    /// The sum, rounded up to a nano-unit.
    ///
    /// # Errors
    ///
    /// [`CostError::TooLarge`] where it does not fit into a [`Cost`].
    pub fn total(self) -> Result<Cost, CostError> {
        let nanos = u64::try_from(self.picos.div_ceil(1000)).map_err(|_| CostError::TooLarge)?;
        Ok(Cost::from_nanos(nanos, self.currency))
    }
}

/// An amount that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// It is not written as a number with at most nine digits after the point, a blank and a code.
    #[error("`{0}` is not an amount of money, as in `12.50 USD`")]
    Amount(String),
    /// Nobody knows the currency.
    #[error("`{0}` is not a currency of ISO 4217")]
    Currency(String),
    /// Two currencies do not add up.
    #[error("an amount of {1} does not go with one of {0}")]
    Mismatch(Currency, Currency),
    /// It is more than can be counted.
    #[error("the amount is too large")]
    TooLarge,
}

/// ISO 4217, list one (codes in use), each followed by a blank.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL \
    BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP \
    ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD \
    JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP \
    MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON \
    RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY \
    TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD \
    XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_not_an_amount() {
        for text in [
            "",
            "12",
            "USD",
            "12USD",
            "12 usd",
            "12 USd",
            "12 ABC",
            "12  USD",
            " 12 USD",
            "12 USD ",
            "-1 USD",
            "+1 USD",
            "1e3 USD",
            "1. USD",
            ".5 USD",
            "1,5 USD",
            "1.0000000001 USD",
            "1_0 USD",
            "18446744074 USD",
            "99999999999999999999999 USD",
            "1 U D",
            "1 D E",
        ] {
            assert!(text.parse::<Cost>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_largest_amount_is_eighteen_billion() {
        let largest: Cost = "18446744073.709551615 USD".parse().unwrap();
        assert_eq!(largest.nanos(), u64::MAX);
        assert!("18446744073.709551616 USD".parse::<Cost>().is_err());
        assert_eq!(largest.checked_add(Cost::zero(Currency::USD)), Ok(largest));
        let one = Cost::from_nanos(1, Currency::USD);
        assert_eq!(largest.checked_add(one), Err(CostError::TooLarge));
    }

    #[test]
    fn currencies_do_not_mix() {
        let (dollar, euro) = ("1 USD".parse::<Cost>().unwrap(), "1 EUR".parse().unwrap());
        assert!(matches!(
            dollar.checked_add(euro),
            Err(CostError::Mismatch(..))
        ));
        let mut bill = Bill::new(Currency::USD);
        let price = Price::per_million(euro);
        assert!(matches!(bill.add(price, 1), Err(CostError::Mismatch(..))));
        assert_eq!(bill.total().unwrap().nanos(), 0);
    }

    #[test]
    fn a_bill_is_rounded_up_once() {
        // 0.05 USD a million is 50 nano-units a thousand tokens, 0.05 each.
        let price = Price::per_million("0.05 USD".parse().unwrap());
        assert_eq!(price.picos(), 50_000);
        let tiny = Price::from_picos(1, Currency::USD);
        assert_eq!(tiny.times(1).unwrap().nanos(), 1);
        let mut bill = Bill::new(Currency::USD);
        for _ in 0..1000 {
            bill.add(tiny, 1).unwrap();
        }
        assert_eq!(bill.total().unwrap().nanos(), 1);
        assert!(
            Price::from_picos(u64::MAX, Currency::USD)
                .times(u64::MAX)
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(nanos: u64) {
            let cost = Cost::from_nanos(nanos, Currency::EUR);
            prop_assert_eq!(cost.to_string().parse::<Cost>().unwrap(), cost);
            let json = serde_json::to_string(&cost).unwrap();
            prop_assert_eq!(serde_json::from_str::<Cost>(&json).unwrap(), cost);
        }

        #[test]
        fn bills_are_never_too_low_and_never_a_nano_too_high(
            items in proptest::collection::vec((0..u64::from(u32::MAX), 0..u64::from(u32::MAX)), 0..8),
        ) {
            let mut bill = Bill::new(Currency::XTS);
            let mut exact = 0_u128;
            for (picos, units) in items {
                bill.add(Price::from_picos(picos, Currency::XTS), units).unwrap();
                exact += u128::from(picos) * u128::from(units);
            }
            match bill.total() {
                Ok(cost) => {
                    let picos = u128::from(cost.nanos()) * 1000;
                    prop_assert!(picos >= exact && picos < exact + 1000);
                }
                Err(_) => prop_assert!(exact > u128::from(u64::MAX) * 1000),
            }
        }
    }
}
