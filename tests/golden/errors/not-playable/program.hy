(import klorpy [simulate-chor])
(defchor compose [A B C] (-> (-> A B) (-> B C) A C) [f g x]
  (g (f x)))
(simulate-chor compose (fn [x] x) (fn [x] x) 5)
