// Conversations, kept in this browser and nowhere else.

const KEY = "blendin.conversations";
const SETTINGS = "blendin.settings";
const MAX_KEPT = 100;

const read = (key, otherwise) => {
  try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
};

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16).padStart(2, "0")).join("");

export const newConversation = () => ({ id: newId(), title: "", changed: Date.now(), turns: [] });

export class Conversations {
  constructor() {
    this.list = read(KEY, []);
    if (!Array.isArray(this.list)) this.list = [];
  }

  find(id) { return this.list.find((each) => each.id === id); }

  // Another tab may have saved meanwhile: only this conversation is replaced.
  save(conversation) {
    conversation.changed = Date.now();
    this.list = [conversation, ...read(KEY, []).filter((each) => each.id !== conversation.id)].slice(0, MAX_KEPT);
    this.#write();
  }

  remove(id) {
    this.list = read(KEY, []).filter((each) => each.id !== id);
    this.#write();
  }

  // A browser keeps a few megabytes: where they are full, candidates of the oldest conversations go first.
  #write() {
    for (let i = this.list.length; ; i -= 1) {
      try {
        localStorage.setItem(KEY, JSON.stringify(this.list));
        return;
      } catch {
        if (i <= 0) { if (this.list.length <= 1) return; this.list.pop(); i = this.list.length + 1; continue; }
        this.list[i - 1] = lightened(this.list[i - 1]);
      }
    }
  }
}

const lightened = (conversation) => ({
  ...conversation,
  turns: conversation.turns.map((turn) => ({
    ...turn,
    branches: turn.branches.map((answer) => ({
      ...answer, tokens: answer.tokens.map(({ candidates, ...token }) => token),
    })),
  })),
});

export const loadSettings = (defaults) => ({ ...defaults, ...read(SETTINGS, {}) });
export const saveSettings = (settings) => {
  try { localStorage.setItem(SETTINGS, JSON.stringify(settings)); } catch { /* full: they last as long as the page */ }
};
