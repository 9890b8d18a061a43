"A channel for secrets: a choreography that is made at run time and holds the key on which two roles agreed.

The cipher is a toy. It is here to be short: it uses the same stream of bytes for every message, proves nothing about
who is speaking, and does not notice a message that was changed. Use a library for anything that matters."

(require klorpy *)
(import hashlib [sha256])
(import itertools [count])
(import klorpy.examples.diffie-hellman [agreed-key])

(defn key-stream [key]
  "Bytes without end that follow from the key."
  (for [i (count)]
    (yield :from (.digest (sha256 (.encode f"{key} {i}"))))))

(defn cipher [key data]
  "Bytes to hidden bytes, and back."
  (bytes (gfor [a b] (zip data (key-stream key)) (^ a b))))

(defn hide [key text]
  (cipher key (.encode text)))

(defn reveal [key data]
  (.decode (cipher key data)))

(defchor open-channel [A B] (-> #{A B} #{A B} A B (-> A B)) [g p a b]
  "A choreography that takes a text from A to B, and hides it on the way."
  (let [key (agreed-key [A B] g p a b)]
    (chor (-> A B) [text]
      (B (reveal key (A->B (A (hide key text))))))))

(defchor tell-secrets [A B] (-> #{A B} #{A B} A B A B) [g p a b texts]
  "Two texts over one channel; B has them in a list."
  (let [tell (open-channel [A B] g p a b)
        first (tell (A (get texts 0)))
        second (tell (A (get texts 1)))]
    (B [first second])))
