(defchor tell [A B] (-> A B) [x] (A->B x))
(defchor give [A B C] (-> A) []
  (A->C (inst tell [A B]))
  (A None))
