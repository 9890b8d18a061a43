"Two roles come to a common key over a channel that everyone can read (Diffie and Hellman, 1976).

The base g and the prime p are known to both; a and b are secrets, and stay where they are."

(require klorpy *)

(defchor keys [A B] (-> #{A B} #{A B} A B [A B]) [g p a b]
  "A's key and B's key. That the two are equal is arithmetic, of which the types know nothing."
  (pack (A (pow (B->A (B (pow g b p))) a p))
        (B (pow (A->B (A (pow g a p))) b p))))

;; `agree!` is how the programmer says that two roles hold the same value; nothing is sent. The simulator compares
;; the two. The option :verify would compare them in a real run also, by sending them, which here gives the key away.
(defchor agreed-key [A B] (-> #{A B} #{A B} A B #{A B}) [g p a b]
  (unpack [[ka kb] (keys [A B] g p a b)]
    (agree! ka kb)))
