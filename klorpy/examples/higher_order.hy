"Choreographies as arguments and as results.

`(-> A B)` is the type of a choreography as well as of a definition. `(chor …)` makes one in place, which may use the
locals around it, and `(inst name [A B])` makes one of a definition, for these roles."

(require klorpy *)

(defchor chain [A B C] (-> (-> B C) (-> A B) A C) [second first x]
  (second (first x)))

;; The composition involves B, although B neither gives its argument nor has its result: `| B`.
(defchor compose [A B C] (-> (-> B C) (-> A B) (-> A C | B)) [second first]
  (chor (-> A C | B) [x]
    (second (first x))))

(defchor tenfold [A B] (-> A B) [x]
  (A->B (A (* 10 x))))

;; A choreography that takes choreographies cannot be started from outside: nobody there has one to give.
(defchor chained [A B C] (-> A B C) [x y]
  (chain [A B C]
    (chor (-> B C) [v] (B->C (B (+ v y))))
    (inst tenfold [A B])
    x))

(defchor composed [A B C] (-> A [C A]) [x]
  (let [there (compose [A B C] (inst tenfold [B C]) (inst tenfold [A B]))
        back (compose [C B A] (inst tenfold [B A]) (inst tenfold [C B]))
        far (there x)]
    (pack far (back far))))
