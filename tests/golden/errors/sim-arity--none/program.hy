(import klorpy [simulate-chor])
(defchor now [A B] (-> B) []
  (A->B (A "now")))
(simulate-chor now "today")
