"""Answers as chat models write them."""

from __future__ import annotations

ANSWERS = {
    "headings and lists": """\
# Photosynthesis

Photosynthesis is how **plants**, *algae* and some bacteria make sugar.

## Two stages

1. **Light reactions:** water is split, and `ATP` is made.
2. **The Calvin cycle:** carbon dioxide becomes sugar.
   - It needs *no light* of its own.
   - It takes place in the ***stroma***.

### Why it matters

* Oxygen
* Food: **all of it**, in the end
""",
    "code": """\
Use `sorted` with a key:

```python
def by_length(words):
    # **not** emphasis, and not a # heading
    return sorted(words, key=len)
```

The call `by_length(["aa", "b"])` returns `["b", "aa"]`. With a backtick: `` a`b ``.

~~~
plain ``` block
~~~
""",
    "quotes and rules": """\
> "The **only** way to do great work is to love what you do."
> *Unknown*

---

That was it. See [the source](https://example.org/a_b_c?x=1) or *[the other one](https://example.org)*.
""",
    "a table": """\
| Planet | Radius (km) | Has `rings`? |
|:-------|------------:|:-----:|
| **Earth** | 6371 | no |
| Saturn | 58232 | *yes* |

That is all.
""",
    "punctuation": """\
It costs 5 * 3 = 15 euros (*about* 16 dollars), i.e. **a lot**. A snake_case_name stays, and so does x_1.

**Note**: this is *very **nested** emphasis*, and "**quoted**" too. Do not write **this ** or ** this**.
""",
    "chinese": """\
**光合作用** 是植物制造 *糖* 的过程。

1. **光反应**
2. **暗反应**
""",
}
