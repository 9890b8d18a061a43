"The smallest conversation: A asks, B computes, A has the answer.

A choreography is one program for several roles. `(A->B x)` moves a value from A to B, and `(B …)` is what B does.
The type `(-> A A)` says that A gives the argument and has the result; B takes part without either."

(require klorpy *)

(defchor simple [A B] (-> A A) [x]
  (let [question (A->B x)
        answer (B (* 2 question))]
    (B->A answer)))
