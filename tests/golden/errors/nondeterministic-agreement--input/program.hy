(defchor ask [A B C] (-> #{A B} C) [question]
  (let [answer (lifting [A B] (input question))]
    (A->C (narrow [A] answer))))
