"Sharing knowledge: `(A=>B x)` sends A's value to B, and A keeps it, so that afterwards both know it.

A value of the type `#{A B}` is held by both and equal at both. What both know, both can compute with, and decide by,
without another message."

(require klorpy *)

(defchor share [A B] (-> A B #{A B}) [x y]
  (let [known (A=>B x)]
    ;; Both evaluate this test, and come to the same conclusion: nothing is sent to tell the branch.
    (if (>= known 10)
      (* known known)
      (B=>A (B (+ known y))))))

(defchor ask-for-help [A B] (-> A B A) [x y]
  ;; Here only A could decide, so it shares its decision. Without the `A=>B`, B would not know whether to send `y`,
  ;; and klorpy would refuse the definition.
  (if (A=>B (A (< x 10)))
    (A (+ x (B->A y)))
    x))
