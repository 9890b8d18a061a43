(defchor share [A B C] (-> A #{C A B}) [x]
  (A=>B (A=>C x)))

(defchor vote [C A B] (-> B A #{B C A}) [x y]
  (A=>C (agree! x y)))

(defchor order-of-roles [Zoe Yan Xi] (-> #{Xi Zoe Yan} #{Yan Xi} Zoe) [x y]
  (narrow [Zoe] x))
