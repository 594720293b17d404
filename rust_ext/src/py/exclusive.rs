//! What one caller at a time may have. pyo3's own check of that also serves interpreters without a GIL: it is an atomic exchange, which
//! takes as long as the engine takes for a message. Here the flag is read under the GIL alone, so a plain one does.

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// A value that is given to one caller at a time, also while that one has let go of the GIL.
pub struct Exclusive<T> {
    taken: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: the flag is read and written under the GIL alone, as `hold` and `Held` need its token; the value is its holder's alone.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub fn new(value: T) -> Self {
        Exclusive { taken: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, until what is returned is dropped; RuntimeError while another thread is at work with it.
    #[inline(always)]
    pub fn hold<'a>(&'a self, gil: Python<'a>) -> PyResult<Held<'a, T>> {
        if self.taken.replace(true) {
            return Err(PyRuntimeError::new_err("the session is at work in another thread"));
        }
        Ok(Held { of: self, _gil: gil })
    }
}

/// The value of an `Exclusive`. It keeps the token, and with it to the thread that has the GIL.
pub struct Held<'a, T> {
    of: &'a Exclusive<T>,
    _gil: Python<'a>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the flag was free, so that nobody else holds the value.
        unsafe { &*self.of.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.of.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.of.taken.set(false);
    }
}
