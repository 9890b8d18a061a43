"Functions that stay where they are: A has the arguments, B has the function.

A call `(f x)` happens where `f` is, and `x` has to be there."

(require klorpy *)

(defchor remote-invoke [A B] (-> B A A) [f x]
  (B->A (f (A->B x))))

(defchor remote-apply [A B] (-> B A A) [f args]
  (B->A (B (f #* (A->B args)))))

(defchor remote-map [A B] (-> B A A) [f xs]
  (loop [todo xs
         done (A [])]
    ;; The length of the list is A's knowledge; B has to be told whether to go on.
    (if (A=>B (A (bool todo)))
      (A (let [[x #* others] todo]
           (recur others [#* done (remote-invoke [A B] f x)])))
      done)))
