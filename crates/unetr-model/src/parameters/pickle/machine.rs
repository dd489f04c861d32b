use std::collections::HashMap;

use super::Result;
use super::input::Input;
use super::tree::{Global, Id, Node, OTHER, Tree};

/// The most values, places of the memo and of the stack, and marks: tens of times those of the largest networks, and
/// no more than a few hundred MB.
const MOST: usize = 1 << 20;

/// The values of a pickle.
pub(super) fn run(pickle: &[u8]) -> Result<Tree> {
    let mut machine = Machine {
        input: Input::new(pickle),
        nodes: vec![Node::Other],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    let nodes = machine.nodes;
    Ok(Tree { nodes, root })
}

/// What a pickle is a program for.
struct Machine<'a> {
    input: Input<'a>,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// How long the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Does what the next opcode says; `false` at the last one.
    ///
    /// Those of protocols 2 to 4 that `torch.save` writes. Lists and sets are not kept, since no tensor is found by
    /// them.
    ///
    /// Source: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>
    fn step(&mut self) -> Result<bool> {
        let [opcode] = self.input.array()?;
        match opcode {
            // PROTO, FRAME
            0x80 => drop(self.input.take(1)?),
            0x95 => drop(self.input.take(8)?),
            // MARK
            b'(' => {
                check("marks", self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            // STOP
            b'.' => return Ok(false),
            // NONE, NEWTRUE, NEWFALSE, EMPTY_LIST, EMPTY_SET
            b'N' | 0x88 | 0x89 | b']' | 0x8f => self.push(OTHER)?,
            // BINFLOAT
            b'G' => self.other(8)?,
            // SHORT_BINBYTES, BINBYTES
            b'C' => {
                let count = self.input.short()?;
                self.other(count)?;
            }
            b'B' => {
                let count = self.input.long()?;
                self.other(count)?;
            }
            // BININT1, BININT2, BININT, LONG1
            b'K' => {
                let number = u8::from_le_bytes(self.input.array()?);
                self.add(Node::Whole(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.input.array()?);
                self.add(Node::Whole(number.into()))?;
            }
            b'J' => {
                let number = i32::from_le_bytes(self.input.array()?);
                self.add(Node::Whole(number.into()))?;
            }
            0x8a => {
                let count = self.input.short()?;
                let bytes = self.input.take(count)?;
                match whole(bytes) {
                    Some(number) => self.add(Node::Whole(number))?,
                    // As seeds are.
                    None => self.push(OTHER)?,
                }
            }
            // SHORT_BINUNICODE, BINUNICODE
            0x8c => {
                let count = self.input.short()?;
                self.text(count)?;
            }
            b'X' => {
                let count = self.input.long()?;
                self.text(count)?;
            }
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.add(Node::Tuple(Vec::new()))?,
            0x85 => {
                let items = vec![self.pop()?];
                self.add(Node::Tuple(items))?;
            }
            0x86 => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.add(Node::Tuple(vec![a, b]))?;
            }
            0x87 => {
                let (c, b, a) = (self.pop()?, self.pop()?, self.pop()?);
                self.add(Node::Tuple(vec![a, b, c]))?;
            }
            b't' => {
                let items = self.pop_marked()?;
                self.add(Node::Tuple(items))?;
            }
            // LIST, FROZENSET
            b'l' | 0x91 => {
                self.pop_marked()?;
                self.push(OTHER)?;
            }
            // APPEND; APPENDS, ADDITEMS
            b'a' => drop(self.pop()?),
            b'e' | 0x90 => drop(self.pop_marked()?),
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.add(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_marked()?;
                self.add(Node::Dict(Vec::new()))?;
                self.set(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.set(&items)?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let place = u8::from_le_bytes(self.input.array()?);
                self.remember(place.into())?;
            }
            b'r' => {
                let place = u32::from_le_bytes(self.input.array()?);
                self.remember(place)?;
            }
            0x94 => {
                let place = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.remember(place)?;
            }
            b'h' => {
                let place = u8::from_le_bytes(self.input.array()?);
                self.recall(place.into())?;
            }
            b'j' => {
                let place = u32::from_le_bytes(self.input.array()?);
                self.recall(place)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                self.global(Global::of(module, name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = match (self.node(module), self.node(name)) {
                    (Node::Text(module), Node::Text(name)) => Global::of(module, name),
                    _ => None,
                };
                self.global(global)?;
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            // BUILD: attributes, which matter where there is nothing else.
            b'b' => {
                let (attributes, object) = (self.pop()?, self.top()?);
                if let Some(Node::Object(held)) = self.nodes.get_mut(object) {
                    *held = attributes;
                }
            }
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)?;
            }
            _ => {
                return Err(format!(
                    "opcode {opcode:#04x} in the pickle is none that `torch.save` writes"
                ));
            }
        }
        Ok(true)
    }

    /// What a call gives, none of which is done.
    fn call(&mut self, callable: Id, arguments: Id) -> Result<()> {
        let Node::Global(global) = *self.node(callable) else {
            return self.push(OTHER);
        };
        let items = match self.node(arguments) {
            Node::Tuple(items) => items.as_slice(),
            _ => &[],
        };
        match (global, items) {
            (Global::Dict, _) => self.add(Node::Dict(Vec::new())),
            (Global::Module, _) => self.add(Node::Object(OTHER)),
            (Global::Tensor, _) => self.add(Node::Tensor(arguments)),
            (Global::OtherTensor, _) => self.add(Node::OtherTensor),
            (Global::Parameter, &[tensor, ..]) => self.push(tensor),
            (Global::Subclass, &[callable, _, arguments, ..]) => match self.node(callable) {
                // Once: of classes within classes, every call could go through all of them.
                Node::Global(Global::Subclass) => self.push(OTHER),
                _ => self.call(callable, arguments),
            },
            (Global::Parameter | Global::Subclass | Global::Storage(_), _) => self.push(OTHER),
        }
    }

    /// A value that lies outside the pickle: `("storage", class, name of the entry, device, elements)`.
    fn persistent(&mut self, id: Id) -> Result<()> {
        if let Node::Tuple(items) = self.node(id)
            && let [_, class, key, ..] = **items
            && let Node::Global(Global::Storage(dtype)) = *self.node(class)
        {
            return self.add(Node::Storage(dtype, key));
        }
        self.push(OTHER)
    }

    fn global(&mut self, global: Option<Global>) -> Result<()> {
        match global {
            Some(global) => self.add(Node::Global(global)),
            None => self.push(OTHER),
        }
    }

    /// Sets keys and values of the dict on top; those of what is no dict here are passed over.
    fn set(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, []) = items.as_chunks() else {
            return Err("a dict in the pickle has a key without a value".to_owned());
        };
        let dict = self.top()?;
        if let Some(Node::Dict(entries)) = self.nodes.get_mut(dict) {
            entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<()> {
        check("places of the memo", self.memo.len())?;
        let value = self.top()?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<()> {
        let value = self.memo.get(&place).copied();
        self.push(value.ok_or_else(|| format!("place {place} of the pickle's memo is empty"))?)
    }

    fn node(&self, id: Id) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Other)
    }

    /// A new value, on the stack.
    fn add(&mut self, node: Node) -> Result<()> {
        check("values", self.nodes.len())?;
        self.nodes.push(node);
        self.push(self.nodes.len() - 1)
    }

    fn push(&mut self, value: Id) -> Result<()> {
        check("values on the stack", self.stack.len())?;
        self.stack.push(value);
        Ok(())
    }

    /// The value on top, above the last mark.
    fn top(&self) -> Result<Id> {
        let mark = self.marks.last().copied().unwrap_or(0);
        let value = self.stack.get(mark..).and_then(<[Id]>::last);
        value
            .copied()
            .ok_or_else(|| "the pickle's stack is empty".to_owned())
    }

    fn pop(&mut self) -> Result<Id> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    /// All values above the last mark, without room for more: `split_off` would keep the stack's.
    fn pop_marked(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| "the pickle lacks a mark".to_owned())?;
        Ok(self.stack.drain(mark.min(self.stack.len())..).collect())
    }

    /// A value that does not matter, of so many bytes.
    fn other(&mut self, count: usize) -> Result<()> {
        self.input.take(count)?;
        self.push(OTHER)
    }

    fn text(&mut self, count: usize) -> Result<()> {
        let text = String::from_utf8_lossy(self.input.take(count)?).into_owned();
        self.add(Node::Text(text))
    }
}

fn check(what: &str, count: usize) -> Result<()> {
    match count < MOST {
        true => Ok(()),
        false => Err(format!("more than {MOST} {what} in the pickle")),
    }
}

/// The number of up to eight bytes in two's complement, the lowest first.
fn whole(bytes: &[u8]) -> Option<i64> {
    let mut number = match bytes.last() {
        Some(0x80..) => [0xff; 8],
        _ => [0; 8],
    };
    number.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(number))
}
