//! The short way from Python to a method of a session that takes one argument: as long as to a built-in function. pyo3's own looks for
//! names of arguments and counts how often a thread has attached itself, which together take half as long as the engine for a message.

use std::any::Any;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi::{self, PyObject};
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::{Borrowed, IntoPyObjectExt};

use super::session::Session;

/// Give the class of sessions the methods that are called often.
pub fn add_methods(py: Python<'_>) -> PyResult<()> {
    let methods: [(&CStr, ffi::PyCFunction); 3] =
        [(c"message", message), (c"push", push), (c"push_events", push_events)];
    let class = py.get_type::<Session>();
    for (name, method) in methods {
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: method },
            ml_flags: ffi::METH_O,
            ml_doc: ptr::null(),
        }));
        // SAFETY: class and definition live for ever; the answer is a new reference, or null and an exception.
        let made = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))
        };
        class.setattr(name, made?)?;
    }
    Ok(())
}

unsafe extern "C" fn message(session: *mut PyObject, argument: *mut PyObject) -> *mut PyObject {
    // SAFETY: it is called by the interpreter, as below.
    unsafe { enter(session, argument, Session::message) }
}

unsafe extern "C" fn push(session: *mut PyObject, argument: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe { enter(session, argument, Session::push) }
}

unsafe extern "C" fn push_events(session: *mut PyObject, argument: *mut PyObject) -> *mut PyObject {
    // SAFETY: as above.
    unsafe { enter(session, argument, Session::push_events) }
}

/// What `method` gives for `argument`; null where it has raised.
///
/// # Safety
/// The thread must be attached to the interpreter, which must have seen that `session` is one.
#[inline(always)]
unsafe fn enter<'py, T: IntoPyObject<'py>>(
    session: *mut PyObject,
    argument: *mut PyObject,
    method: impl FnOnce(&Session, Python<'py>, &Bound<'py, PyAny>) -> PyResult<T>,
) -> *mut PyObject {
    // SAFETY: promised by the caller; both objects live until it has its answer.
    let (py, session, argument) = unsafe {
        let py = Python::assume_attached();
        let session = Borrowed::from_ptr(py, session).cast_unchecked::<Session>();
        (py, session, Borrowed::from_ptr(py, argument))
    };
    let run = AssertUnwindSafe(|| method(session.get(), py, &argument)?.into_bound_py_any(py));
    let raised = match catch_unwind(run) {
        Ok(Ok(value)) => return value.into_ptr(),
        Ok(Err(error)) => error,
        Err(cause) => panicked(&*cause),
    };
    raised.restore(py);
    ptr::null_mut()
}

/// The bytes of a `bytes`, by one call where pyo3 makes three; TypeError for anything else.
pub fn bytes<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a [u8]> {
    let (mut start, mut size) = (ptr::null_mut(), 0);
    // SAFETY: it writes to both, or raises. The bytes stay as they are for as long as the object is there.
    unsafe {
        if ffi::PyBytes_AsStringAndSize(object.as_ptr(), &mut start, &mut size) < 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(std::slice::from_raw_parts(start.cast(), size as usize))
    }
}

/// What pyo3 makes of a panic.
#[cold]
fn panicked(cause: &(dyn Any + Send)) -> PyErr {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
    PanicException::new_err(text.unwrap_or("panic from Rust code").to_owned())
}
